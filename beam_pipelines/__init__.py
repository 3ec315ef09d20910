"""The work at scale: plan, build and verify, each a linear Beam pipeline over plain functions.

It never holds logic that a plain function of `corrstore.datasets` could hold. Start reading at
`build.py`, then `spread.py`.
"""

import logging

logging.getLogger().addFilter(  # Beam warns of a BigQuery client that nothing here uses
    lambda record: "bigquery client libraries are not available" not in record.getMessage()
)
