"""The UDP file protocol without sockets or clocks: packets, sender, receiver, congestion. Pure but for `paths`."""
