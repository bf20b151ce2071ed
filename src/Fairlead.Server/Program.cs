using Fairlead.Server.Commands;

return await FairleadCommand.RunAsync(args);
