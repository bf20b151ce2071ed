using System.Data;
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

    /// <summary>Adds a named parameter with a type: PostgreSQL cannot always infer the type of a null.</summary>
    public static void AddParameter(this DbCommand command, string name, DbType type, object? value)
    {
        var parameter = command.CreateParameter();
        parameter.ParameterName = name;
        parameter.DbType = type;
        parameter.Value = value ?? DBNull.Value;
        command.Parameters.Add(parameter);
    }
}
