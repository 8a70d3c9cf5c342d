! The C interface (atomcore.h) for Fortran 2008. Compile this file with your own compiler, since modules do not travel.
! Arrays stand in memory as in C: positions(3, n_atoms), cell(3, 3) with a lattice vector in each column.
module atomcore
  use, intrinsic :: iso_c_binding
  implicit none
  private
  public :: atomcore_version, atomcore_last_error, atomcore_model_load, atomcore_model_free, atomcore_model_info
  public :: atomcore_element_index, atomcore_workspace_create, atomcore_workspace_free, atomcore_compute
  public :: atomcore_compute_neighbors, atomcore_string
  public :: atomcore_load_options, atomcore_info, atomcore_results, atomcore_structure, atomcore_neighbors

  integer(c_int), parameter, public :: ATOMCORE_OK = 0, ATOMCORE_INVALID_VALUE = 1, ATOMCORE_OUT_OF_MEMORY = 2, &
    ATOMCORE_CORRUPT_FILE = 3, ATOMCORE_UNSUPPORTED = 4, ATOMCORE_OVERFLOW = 5, ATOMCORE_IO = 6, ATOMCORE_INTERNAL = 7

  ! `struct_size` of each type is to be set with c_sizeof before it is handed over: atomcore_results() has everything
  ! else cleared.
  type, bind(c) :: atomcore_load_options
    integer(c_size_t) :: struct_size = 0
    integer(c_int) :: single_precision = 0
  end type

  type, bind(c) :: atomcore_info
    integer(c_size_t) :: struct_size = 0
    type(c_ptr) :: kind = c_null_ptr, capability = c_null_ptr, target = c_null_ptr  ! atomcore_string() reads them
    real(c_double) :: cutoff = 0
    integer(c_int32_t) :: n_elements = 0
    type(c_ptr) :: symbols = c_null_ptr, numbers = c_null_ptr
    integer(c_int32_t) :: members = 0, has_energies = 0, has_spread = 0, has_ranges = 0, has_grade = 0
    type(c_ptr) :: metadata = c_null_ptr
  end type

  type, bind(c) :: atomcore_results
    integer(c_size_t) :: struct_size = 0
    real(c_double) :: energy = 0
    real(c_double) :: virial(3, 3) = 0
    type(c_ptr) :: forces = c_null_ptr, energies = c_null_ptr, virials = c_null_ptr, member_forces = c_null_ptr
    real(c_double) :: energy_spread = 0
    type(c_ptr) :: energies_spread = c_null_ptr, forces_spread = c_null_ptr, outside = c_null_ptr
    type(c_ptr) :: excess = c_null_ptr, grade = c_null_ptr
  end type

  type, bind(c) :: atomcore_structure
    integer(c_size_t) :: struct_size = 0
    integer(c_int64_t) :: n_atoms = 0
    type(c_ptr) :: positions = c_null_ptr, numbers = c_null_ptr, cell = c_null_ptr, pbc = c_null_ptr
  end type

  type, bind(c) :: atomcore_neighbors  ! indices of atoms, types and elements count from 0
    integer(c_size_t) :: struct_size = 0
    integer(c_int64_t) :: n_atoms = 0
    type(c_ptr) :: positions = c_null_ptr, types = c_null_ptr, element_of_type = c_null_ptr
    integer(c_int32_t) :: n_types = 0, n_centres = 0
    type(c_ptr) :: ilist = c_null_ptr, numneigh = c_null_ptr, firstneigh = c_null_ptr
    integer(c_int32_t) :: neighbor_mask = 0
  end type

  interface
    type(c_ptr) function c_version() bind(c, name="atomcore_version")
      import :: c_ptr
    end function

    type(c_ptr) function c_last_error() bind(c, name="atomcore_last_error")
      import :: c_ptr
    end function

    integer(c_int) function c_model_load(path, options, model) bind(c, name="atomcore_model_load")
      import :: c_int, c_char, c_ptr
      character(kind=c_char), intent(in) :: path(*)
      type(c_ptr), value :: options
      type(c_ptr), intent(out) :: model
    end function

    subroutine atomcore_model_free(model) bind(c)
      import :: c_ptr
      type(c_ptr), value :: model
    end subroutine

    integer(c_int) function atomcore_model_info(model, info) bind(c)
      import :: c_int, c_ptr, atomcore_info
      type(c_ptr), value :: model
      type(atomcore_info), intent(inout) :: info
    end function

    integer(c_int32_t) function c_element_index(model, symbol) bind(c, name="atomcore_element_index")
      import :: c_int32_t, c_ptr, c_char
      type(c_ptr), value :: model
      character(kind=c_char), intent(in) :: symbol(*)
    end function

    integer(c_int) function atomcore_workspace_create(model, n_threads, workspace) bind(c)
      import :: c_int, c_int32_t, c_ptr
      type(c_ptr), value :: model
      integer(c_int32_t), value :: n_threads
      type(c_ptr), intent(out) :: workspace
    end function

    subroutine atomcore_workspace_free(workspace) bind(c)
      import :: c_ptr
      type(c_ptr), value :: workspace
    end subroutine

    integer(c_int) function atomcore_compute(workspace, structure, results) bind(c)
      import :: c_int, c_ptr, atomcore_structure, atomcore_results
      type(c_ptr), value :: workspace
      type(atomcore_structure), intent(in) :: structure
      type(atomcore_results), intent(inout) :: results
    end function

    integer(c_int) function atomcore_compute_neighbors(workspace, neighbors, results) bind(c)
      import :: c_int, c_ptr, atomcore_neighbors, atomcore_results
      type(c_ptr), value :: workspace
      type(atomcore_neighbors), intent(in) :: neighbors
      type(atomcore_results), intent(inout) :: results
    end function

    integer(c_size_t) function c_strlen(text) bind(c, name="strlen")
      import :: c_size_t, c_ptr
      type(c_ptr), value :: text
    end function
  end interface

contains

  function atomcore_version() result(text)
    character(len=:), allocatable :: text
    text = atomcore_string(c_version())
  end function

  ! The message of the last failure in this thread.
  function atomcore_last_error() result(text)
    character(len=:), allocatable :: text
    text = atomcore_string(c_last_error())
  end function

  integer(c_int) function atomcore_model_load(path, model, options) result(status)
    character(len=*), intent(in) :: path
    type(c_ptr), intent(out) :: model
    type(atomcore_load_options), intent(in), optional, target :: options
    if (present(options)) then
      status = c_model_load(trim(path) // c_null_char, c_loc(options), model)
    else
      status = c_model_load(trim(path) // c_null_char, c_null_ptr, model)
    end if
  end function

  ! The index of an element by its symbol ("Si"), or -1.
  integer(c_int32_t) function atomcore_element_index(model, symbol) result(element)
    type(c_ptr), intent(in) :: model
    character(len=*), intent(in) :: symbol
    element = c_element_index(model, trim(symbol) // c_null_char)
  end function

  ! A text of C.
  function atomcore_string(pointer) result(text)
    type(c_ptr), intent(in) :: pointer
    character(len=:), allocatable :: text
    character(kind=c_char), pointer :: letters(:)
    integer :: k
    call c_f_pointer(pointer, letters, [c_strlen(pointer)])
    allocate (character(len=size(letters)) :: text)
    do k = 1, size(letters)
      text(k:k) = letters(k)
    end do
  end function

end module
