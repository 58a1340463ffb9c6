"""Build: trained networks to a bundle."""
