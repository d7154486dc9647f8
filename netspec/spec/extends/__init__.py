"""`extends:`: merges the documents of a file and of those that it extends, before they are validated."""
