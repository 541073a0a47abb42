"""Where does work run: cores, versions, worker processes, replicas, a Ray cluster?

Call `cores.usable_cores`, `versions.made_with`, `forked.in_order`, `replicas.Replicas` or
`ray_cluster.open_on_each_node`.
"""
