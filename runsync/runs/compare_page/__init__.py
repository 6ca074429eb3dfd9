"""A comparison as one HTML page that needs nothing else: the files of this folder, plotly.js and the values."""
