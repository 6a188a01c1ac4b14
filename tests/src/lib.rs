//! Whole-system tests of Parkade and the tools they need
