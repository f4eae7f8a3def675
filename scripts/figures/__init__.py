"""The figures of the documentation, drawn from the modules and codecs themselves."""
