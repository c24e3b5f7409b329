"""`ming run` and `ming batch` behind the command line: workflow files run without a browser."""
