"""Jobs of many files: started, scored file by file, summed up."""
