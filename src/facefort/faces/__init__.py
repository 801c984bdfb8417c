"""A photo becomes aligned faces and goes back: detection, landmarks, alignment, regions, paste-back."""
