"""The torch modules of the method, one file per network. Nothing outside training and export imports this room."""
