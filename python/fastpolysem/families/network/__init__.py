"""Networks of several layers with hidden nonlinearities, trained on tasks."""
