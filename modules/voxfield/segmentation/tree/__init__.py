"""From a mask to trees: skeleton, graph, centerlines, radii, openings, and the bridges that mend a mask.

Everything here works on arrays (x, y, z) and a spacing (3,) in mm; positions are in mm along the voxel axes,
measured from the centre of voxel (0, 0, 0), until a stage turns them into world coordinates.
"""
