# with: node engine sync
validator {
  approval_key = "0x12"
  bitcoin_key  = "050505050505050505050505050505050505050505050505050505050505050505"
  fee_address  = "bob"
  extra_data   = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
}
