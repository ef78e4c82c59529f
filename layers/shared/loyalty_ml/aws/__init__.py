"""AWS's services as this project uses them: their errors, retries and conditional writes."""
