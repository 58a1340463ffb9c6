"""EmotiRT's own GPU kernels for vocoders of the HiFi-GAN family: what they compute, and a plan of them that runs."""
