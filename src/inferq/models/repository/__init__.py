"""The model repository on disk: its folders, the versions in them, and which of them are served."""
