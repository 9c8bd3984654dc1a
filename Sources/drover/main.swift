import Commands

await Drover.mainWithExitCodes()
