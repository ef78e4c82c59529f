"""Customers and their features: by id from DynamoDB, all of them from the snapshot."""
