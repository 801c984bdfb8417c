"""Networks that only look: who is in a picture, how alike two pictures are."""
