//! HTTP/1.1 and 1.0 on the parkade runtime: framing, bodies, keep-alive with hard parking
