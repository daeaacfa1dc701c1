"""Style pictures, and keep styles as presets and recipes."""
