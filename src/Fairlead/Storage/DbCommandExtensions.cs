using System.Data.Common;

namespace Fairlead.Storage;

internal static class DbCommandExtensions
{
    /// <summary>Adds a named parameter; null becomes the database's NULL.</summary>
    public static void AddParameter(this DbCommand command, string name, object? value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.Value = value ?? DBNull.Value;
        command.Parameters.Add(parameter);
    }
}
