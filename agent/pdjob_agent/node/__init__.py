"""What runs on the nodes. It reaches them pickled by value: a node needs Ray and vLLM, nothing of ours.

So these modules import names from each other, never modules, and from elsewhere only the standard library and Ray.
"""
