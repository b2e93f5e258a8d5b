"""What a fake keeps of each resource: records, their rules, their JSON.

The routes are in `_routes`. Routes import models, and models import no routes.
"""
