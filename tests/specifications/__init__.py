"""Specifications of the model families that came after the autoencoder's."""
