"""From data to model sets: trains, converts and checks the models that the functions serve. Never in a Lambda.

cli        the command `loyalty`; the modules create_ml_models and train_models_from_dwh are two of its subcommands
learning   networks and their baselines: trained, measured, held to gates, reported
snapshot   every customer's features into DynamoDB and the Parquet snapshot
registry   model sets into S3 and back
warehouse  the company's warehouse through Ibis: features, examples, and a demo
"""
