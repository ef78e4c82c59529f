"""The customers as the service reads them: by id in DynamoDB, and the whole base as a Parquet snapshot in S3."""
