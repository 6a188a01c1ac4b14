//! Reads Apache-style configuration with diagnostics that point at the character
