"""Which concepts use which neurons, in any hidden layer."""
