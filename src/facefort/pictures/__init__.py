"""A picture file becomes numbers and goes back; folders of them; degradations."""
