// Regions, policies and atlas: read with positions, checked whole, compiled to one immutable rule set that decides hits.
