"""AutoAttack's attacks in plain PyTorch with the behaviour of the reference implementation. See ../autoattack_reference.py."""
