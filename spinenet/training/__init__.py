"""The annexe: training. All it hands to the house is a file of weights."""
