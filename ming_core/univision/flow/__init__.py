"""The flow head: one hidden state -> one latent, by integrating a learnt velocity."""
