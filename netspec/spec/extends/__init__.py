"""`extends:`: a spec laid over another, before either is held to the language."""
