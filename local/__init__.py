"""The whole service on one machine, with no AWS: what `make run` starts.

Importing this package takes the user's own AWS settings out of the process: no profile, token, endpoint or
configuration file may lead anything here to a real account. It comes first, as some libraries read them on import.
"""

import os

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull, AWS_EC2_METADATA_DISABLED="true")
