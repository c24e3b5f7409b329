"""Ming-UniVision: one language model and one continuous token space for seeing and drawing."""
