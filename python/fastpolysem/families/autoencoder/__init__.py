"""The paper's autoencoder: ``activation(W_dec (W_enc^T x + noise) + bias)``."""
