"""A service's labels as typed routes. One module for each vocabulary; `keys` is the table they share."""
