"""Whether new texts are like those that a run was validated on."""
