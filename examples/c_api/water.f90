! A molecule of water in Fortran. Usage: water MODEL
program water
  use, intrinsic :: iso_c_binding
  use, intrinsic :: iso_fortran_env, only: error_unit
  use atomcore
  implicit none
  real(c_double), target :: positions(3, 3) = reshape([0.0_c_double, 0.0_c_double, 0.119_c_double, &
    0.0_c_double, 0.763_c_double, -0.477_c_double, 0.1_c_double, -0.763_c_double, -0.477_c_double], [3, 3])
  integer(c_int32_t), target :: numbers(3) = [8, 1, 1]
  real(c_double), target :: forces(3, 3) = 0  ! forces are added to what is there
  type(atomcore_structure) :: structure
  type(atomcore_results) :: results
  type(c_ptr) :: model, workspace
  character(len=1000) :: path
  integer :: i

  call get_command_argument(1, path)
  call check(atomcore_model_load(path, model))
  call check(atomcore_workspace_create(model, 1_c_int32_t, workspace))
  structure%struct_size = c_sizeof(structure)
  structure%n_atoms = 3
  structure%positions = c_loc(positions)
  structure%numbers = c_loc(numbers)
  results%struct_size = c_sizeof(results)
  results%forces = c_loc(forces)
  call check(atomcore_compute(workspace, structure, results))
  write (*, '(a, 1x, es23.15e3, 1x, a)') 'energy', results%energy, 'eV'
  do i = 1, 3
    write (*, '(a, 3(1x, es23.15e3), 1x, a)') 'force', forces(:, i), 'eV/A'
  end do
  call atomcore_workspace_free(workspace)
  call atomcore_model_free(model)

contains

  subroutine check(status)
    integer(c_int), intent(in) :: status
    if (status == ATOMCORE_OK) return
    write (error_unit, '(2a)') 'atomcore: ', atomcore_last_error()
    stop 1
  end subroutine
end program
