"""The faces: each translates one wire protocol into jobs and back."""
