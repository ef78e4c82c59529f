"""What the study of peers starts: one file a peer, each as the peer's own documentation writes a service, and ours.

The peers run in venvs of their own, where nothing of the project is installed: they have loyalty.py in common. Ours are
the built functions, with what memory_stores.py has in the place of S3 and DynamoDB.
"""
