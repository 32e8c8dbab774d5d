"""The UDP file protocol, without sockets or clocks: packets, sender, receiver, congestion, paths. Pure but for paths."""
