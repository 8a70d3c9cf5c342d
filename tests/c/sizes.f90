! The sizes of all structs as Fortran sees them, and what the functions that take or give texts do.
program sizes
  use, intrinsic :: iso_c_binding
  use atomcore
  implicit none
  type(atomcore_load_options) :: options
  type(atomcore_info) :: info
  type(atomcore_results) :: results
  type(atomcore_structure) :: structure
  type(atomcore_neighbors) :: neighbors
  type(c_ptr) :: model
  character(len=1000) :: path

  print '(5(i0, 1x))', c_sizeof(options), c_sizeof(info), c_sizeof(results), c_sizeof(structure), c_sizeof(neighbors)
  if (atomcore_model_load('nowhere', model) /= ATOMCORE_IO) stop 1
  print '(a)', atomcore_last_error()
  call get_command_argument(1, path)
  options%struct_size = c_sizeof(options)
  options%single_precision = 1
  if (atomcore_model_load(path, model, options) /= ATOMCORE_OK) stop 2
  info%struct_size = c_sizeof(info)
  if (atomcore_model_info(model, info) /= ATOMCORE_OK) stop 3
  print '(a)', atomcore_version() // ' ' // atomcore_string(info%kind)
  print '(3(i0, 1x))', info%n_elements, atomcore_element_index(model, 'O'), atomcore_element_index(model, 'Si')
  call atomcore_model_free(model)
end program
