"""Where does work run: cores, versions, worker processes, replicas, a Ray cluster?"""
