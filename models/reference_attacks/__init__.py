"""AutoAttack's four attacks in plain PyTorch, with the behaviour of its reference implementation; see ../autoattack_reference.py."""
