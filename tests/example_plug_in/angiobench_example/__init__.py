"""An example of plug-ins from outside."""
