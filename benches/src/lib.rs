//! Load driver and measurements for Parkade and for any other HTTP server
