package spec_test

const (
	devGenesis       = "0xfb185d6c4f687e0a71da5238899706c1c93715861d7b1b92a588d6fda671a12e"
	dev3Genesis      = "0x4d1545f5592a171483b3eda1f25e3b90095544e79259af3259486a9f19ca0859"
	devPragueGenesis = "0x4f3de4416902fd715c666d7e039361d0c4a4658dcdb36c89cdbcfdace76e31dc"
)
